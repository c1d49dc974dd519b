/** What the command line reads and writes besides the database: given in, so that a test or another program can stand in for the process. */
export interface Terminal {
  /** Relative file names start here. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What was asked for, and nothing else: fit for a pipe. */
  write(text: string): void;
  /** What a person has to know besides. */
  writeError(text: string): void;
  /** Name of the user who runs it; undefined when the system has none. */
  user(): string | undefined;
}
