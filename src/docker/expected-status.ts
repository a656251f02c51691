import * as z from "zod";

/** What a daemon answers for what it does not have. */
export const isNotFound = (status: number): boolean => status === 404;

/** The answer, or undefined where the daemon refused with an expected status. */
export async function ignoreStatus<T>(
  expected: (status: number) => boolean,
  answer: Promise<T>,
): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    const status = z.looseObject({ statusCode: z.number() }).safeParse(error);
    if (status.success && expected(status.data.statusCode)) return undefined;
    throw error;
  }
}
