/** Durable name of the subscription that undoes what the handler of another one did. */
export function undoName(subscription: string): string {
  return `${subscription}.undo`;
}
