/** Does `work` with something that is closed after it. */
export async function closing<T extends { close(): Promise<void> }>(opened: T, work: (opened: T) => Promise<void>): Promise<void> {
  try {
    await work(opened);
  } catch (error) {
    // What could not be closed because of it says less.
    await opened.close().catch(() => undefined);
    throw error;
  }
  await opened.close();
}
