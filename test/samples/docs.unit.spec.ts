import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { repository } from '../tidy/source.js';
import { codeBlocksOf, codeFrom, pages, read, update } from './code-blocks.js';

// HOLDFAST_UPDATE_DOCS=1 npm test -- test/samples/docs
if (process.env.HOLDFAST_UPDATE_DOCS) for (const page of pages()) update(page);

describe.each(pages())('%s', (page) => {
  const text = read(page);

  it('shows only code that is compiled and tested', () => {
    const wrong = codeBlocksOf(text).flatMap(({ line, source, code }) => {
      if (source === undefined) return [`${page}:${line} names no source: write <!-- code: path#part --> above it`];
      return code === codeFrom(source)
        ? []
        : [`${page}:${line} differs from ${source}: HOLDFAST_UPDATE_DOCS=1 npm test -- test/samples/docs`];
    });
    expect(wrong).toEqual([]);
  });

  it('links to files and headings that exist', () => {
    const wrong = [...text.matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)].flatMap(([, link]) => {
      const [path, anchor] = (link as string).split('#') as [string, string | undefined];
      const target = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(repository, target))) return [`${link}: no such file`];
      return anchor === undefined || headingsOf(read(target)).includes(anchor) ? [] : [`${link}: no such heading`];
    });
    expect(wrong).toEqual([]);
  });

  it('never says "exactly once" without what it means', () => {
    const claims = text
      .split('\n')
      .filter((line) => /exactly[ -]once/i.test(line) && !/effect, inside the window, in this database/.test(line));
    expect(claims).toEqual([]);
  });
});

/** Anchors as GitHub makes them. */
function headingsOf(text: string): readonly string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    (heading as string)
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
