import * as z from "zod";

/** Whether a status means that the object does not exist. */
export const isNotFound = (status: number): boolean => status === 404;

/** Returns the response, or undefined when the daemon refused the request with an expected status. */
export async function ignoreStatus<T>(
  expected: (status: number) => boolean,
  response: Promise<T>,
): Promise<T | undefined> {
  try {
    return await response;
  } catch (error) {
    const status = z.looseObject({ statusCode: z.number() }).safeParse(error);
    if (status.success && expected(status.data.statusCode)) return undefined;
    throw error;
  }
}
