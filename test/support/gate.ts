/** A door that handlers wait at until it is opened. */
export function gate() {
  let open: () => void = () => undefined;
  let reach: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  return {
    /** Resolves when somebody waits. */
    reached,
    open: () => open(),
    pass: async () => {
      reach();
      await opened;
    },
  };
}
