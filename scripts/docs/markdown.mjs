/** First lines of every generated page. */
export function page(title, from, text) {
  return `<!-- Generated from ${from} by \`npm run docs\`. Change the sources, not this page. -->

# ${title}

${text.trim()}
`;
}

/** Source text as code that may stand in a table. */
export function code(text) {
  const oneLine = text.replaceAll(/\s+/g, ' ').trim().replaceAll('|', '\\|');
  return oneLine.includes('`') ? `\`\` ${oneLine} \`\`` : `\`${oneLine}\``;
}

/** A table; empty when there are no rows. */
export function table(headings, rows) {
  if (rows.length === 0) return '';
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(headings), line(headings.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Text of a doc comment as it may stand in a table: its own code spans stay, bars do not end the cell, and types are not taken for HTML. */
export function cell(text) {
  const parts = text.split(/(`[^`]*`)/);
  return parts.map((part, index) => (index % 2 === 1 ? part : part.replaceAll('<', '&lt;')).replaceAll('|', '\\|')).join('');
}

/** A link to a heading of the same page, as GitHub names it. */
export function linkTo(heading) {
  return `[${heading}](#${heading
    .toLowerCase()
    .replaceAll(/[^\w -]/g, '')
    .replaceAll(' ', '-')})`;
}

/** Paragraphs, the empty ones left out. */
export function paragraphs(...parts) {
  return parts.filter(Boolean).join('\n\n');
}
