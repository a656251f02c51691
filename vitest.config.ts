import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // By default, one processor is kept free. Many of these wait for a program, or for a deadline.
    maxWorkers: "100%",
    projects: [
      {
        test: {
          name: "unit",
          include: ["__tests__/**/*.test.ts"],
          exclude: ["__tests__/e2e/**"],
        },
      },
      {
        // Real clusters on one machine: one after the other.
        test: {
          name: "e2e",
          include: ["__tests__/e2e/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
