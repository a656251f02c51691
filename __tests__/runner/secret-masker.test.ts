import { expect, test } from "vitest";
import { SecretMasker } from "./secret-masker.ts";

test.each<[what: string, secrets: string[], text: string, masked: string]>([
  ["nothing, without secrets", [], "text", "text"],
  ["every place", ["s3cret"], "s3cret and s3cret", "*** and ***"],
  ["by case", ["s3cret"], "S3CRET", "S3CRET"],
  ["what patterns would mean literally", ["a.c"], "abc a.c", "abc ***"],
  ["secrets within secrets at once", ["abc", "abcdef"], "xabcdefx", "x***x"],
  ["overlapping secrets at once", ["abc", "cde"], "xabcdex", "x***x"],
  ["touching secrets at once", ["abc", "def"], "xabcdefx", "x***x"],
  ["overlaps of a secret with itself", ["aba"], "xababax", "x***x"],
  ["each line of a secret", ["one\r\ntwo\n"], "one two three", "*** *** three"],
  ["a secret of several lines as a whole", ["one\ntwo"], "(one\ntwo)", "(***)"],
  ["nothing for an empty secret", ["", "\n"], "text", "text"],
])("masks %s", (_, secrets, text, masked) => {
  const masker = new SecretMasker();
  for (const secret of secrets) masker.add(secret);
  expect(masker.mask(text)).toBe(masked);
});
