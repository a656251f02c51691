import { describe, expect, it } from "vitest";
import { quote } from "../../src/lib/quote.ts";

describe("quote", () => {
  it.each([
    ["", '""'],
    ["web:1", '"web:1"'],
    ['a"b\\', '"a\\"b\\\\"'],
    ["a\n::error::b", '"a\\n::error::b"'],
    ["\u202eabc\u001b[0m", '"\\u202eabc\\u001b[0m"'],
    ["\u007f\u0000", '"\\u007f\\u0000"'],
    ["größe", '"gr\\u00f6\\u00dfe"'],
    ["📦", '"\\ud83d\\udce6"'],
  ])("escapes %j to printable ASCII", (text, quoted) => {
    expect(quote(text)).toBe(quoted);
  });

  it("truncates text longer than 120 characters", () => {
    expect(quote("x".repeat(120))).toBe(`"${"x".repeat(120)}"`);
    expect(quote("x".repeat(121))).toBe(`"${"x".repeat(120)}..."`);
  });
});
