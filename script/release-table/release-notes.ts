/** A node image as a release of kind names it. */
export interface NamedImage {
  readonly kubernetes: string;
  readonly image: string;
}

/**
 * Finds the node images in the notes of a kind release: lines such as
 * "- v1.35.0: `kindest/node:v1.35.0@sha256:…`", with or without the hyphen, once or more often.
 */
export function nodeImagesIn(notes: string): NamedImage[] {
  const found = notes.matchAll(/kindest\/node:(v1\.\d+\.\d+)@sha256:[0-9a-f]{64}/g);
  const images = new Map([...found].map(([image, kubernetes = ""]) => [kubernetes, image]));
  return [...images].map(([kubernetes, image]) => ({ kubernetes, image }));
}
