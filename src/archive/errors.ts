/** For what is broken rather than wrong. */
const adviseRebuild = "Make the archive again, and see that all of it is copied";
/** For what never was an image's archive. */
export const adviseDockerSave = "Save the image with `docker save --output FILE NAME:TAG`";

/** Why an archive cannot be loaded: archive.ts, which knows which one, makes a message of it. */
export class ArchiveError extends Error {
  override readonly name = "Refused";
  /** What to do about it: a sentence without its full stop. */
  readonly advice: string;

  /** @param reason a sentence about the archive without its full stop, `it` being the archive */
  constructor(reason: string, advice: string = adviseRebuild, options?: ErrorOptions) {
    super(reason, options);
    this.advice = advice;
  }
}

/**
 * Text that an archive brought, fit for a message: quoted, short, and of printable ASCII alone, because names can hold
 * line ends, escape sequences and characters that turn a line around.
 */
export const quote = (text: string): string =>
  JSON.stringify(text.length > longest ? `${text.slice(0, longest)}...` : text).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** A digest with its algorithm has 71 characters, a path in an old archive 75. */
const longest = 120;
