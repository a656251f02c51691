/** A content descriptor (OCI image-spec, descriptor.md). */
export interface Descriptor {
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
  readonly mediaType: string;
}
