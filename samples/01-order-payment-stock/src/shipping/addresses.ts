/** Where customers live, as far as shipping knows: nora has moved, and told nobody. */
export const ADDRESSES: Readonly<Record<string, string | undefined>> = {
  ann: '1 Elm Street',
  ben: '2 Oak Street',
  cleo: '3 Ash Street',
  dan: '4 Fir Street',
};
