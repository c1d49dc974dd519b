const MS_PER_SECOND = 1000;
/** Of `2026-11-28T22:56:40.`: what is before the milliseconds. */
const SECOND_LENGTH = 20;
const LENGTH = 24;
const HOUR = 11;

// Messages are of one second, or follow each other by seconds: most times need only their milliseconds read or written.
let written = { second: Number.NaN, text: '' };
let read = { second: Number.NaN, text: '' };

/** The time as RFC 3339 in UTC, with milliseconds: as `toISOString`, at a fraction of what that costs. */
export function timestampOf(date: Date): string {
  const ms = date.getTime();
  const second = Math.floor(ms / MS_PER_SECOND);
  if (second !== written.second) {
    const text = date.toISOString();
    if (text.length !== LENGTH) return text;
    written = { second, text: text.slice(0, SECOND_LENGTH) };
  }
  return `${written.text}${String(ms - second * MS_PER_SECOND).padStart(3, '0')}Z`;
}

// RFC 3339, as CloudEvents asks; Date.parse alone would also take "1" and "May".
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i;
const MILLISECONDS = /^\d{3}Z$/;

/** The time that a text in the form of RFC 3339 says; undefined when it says none. */
export function timestampIn(text: string): Date | undefined {
  if (text.length === LENGTH && text.startsWith(read.text) && read.text !== '') {
    const rest = text.slice(SECOND_LENGTH);
    if (MILLISECONDS.test(rest)) return new Date(read.second * MS_PER_SECOND + Number(rest.slice(0, 3)));
  }
  if (!TIMESTAMP.test(text)) return undefined;
  const time = new Date(text);
  const ms = time.getTime();
  if (Number.isNaN(ms)) return undefined;
  // The hour 24 is one only at its very beginning.
  const isUsual = text.length === LENGTH && text[SECOND_LENGTH - 1] === '.' && text.endsWith('Z') && !text.startsWith('24', HOUR);
  if (isUsual) read = { second: Math.floor(ms / MS_PER_SECOND), text: text.slice(0, SECOND_LENGTH) };
  return time;
}
