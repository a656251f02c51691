/**
 * Calls an async function for each item, with a limited number of calls at a time.
 *
 * @param concurrency maximum number of concurrent calls
 * @returns the results, in the order of the items
 * @throws the error of the first call that fails; calls in progress are not cancelled
 */
export async function mapConcurrently<T, R>(
  items: readonly T[],
  concurrency: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return results;
}
