/** The advice for a corrupt or incomplete archive. */
const adviseRebuild = "Create the archive again, and check that it is copied completely";
/** The advice for a file that is not an image archive. */
export const adviseDockerSave = "Save the image with `docker save --output FILE NAME:TAG`";

/** The reason why an archive cannot be loaded, without its path. `readArchive` turns it into an {@link InvalidArchiveError}. */
export class ArchiveError extends Error {
  override readonly name = "ArchiveError";
  /** The remedy: a sentence without its full stop. */
  readonly advice: string;

  /** @param reason a clause with its subject, without a full stop */
  constructor(reason: string, advice: string = adviseRebuild, options?: ErrorOptions) {
    super(reason, options);
    this.advice = advice;
  }
}

/** An archive that cannot be loaded. The message has its path, the reason and the remedy. */
export class InvalidArchiveError extends Error {
  override readonly name = "InvalidArchiveError";

  constructor(path: string, reason: string, advice: string, options?: ErrorOptions) {
    super(`Could not load ${path}: ${reason}. ${advice}.`, options);
  }
}
