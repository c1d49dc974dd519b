import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { repository } from '../tidy/source.js';
import { pages, read, unlabelledCode, update, wrongCodeIn } from './code-blocks.js';

// HOLDFAST_UPDATE_DOCS=1 npm test -- test/samples/docs
if (process.env.HOLDFAST_UPDATE_DOCS) for (const page of pages()) update(page);

describe.each(pages())('%s', (page) => {
  const text = read(page);

  it('shows only code that is compiled and tested', () => {
    expect(wrongCodeIn(page)).toEqual([]);
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

describe('code in a fence without a label', () => {
  it.each([
    ['a call', "await bus.publish(new OrderPlaced(1, 'Ada'));"],
    ['an import', "import { Message } from '@holdfast/nest';"],
    ['a class', '  class Order {'],
    ['a decorator', "@Message('order.placed')"],
  ])('is found: %s', (_, code) => {
    expect(unlabelledCode(`text\n\n\`\`\`sh\nnpm test\n\`\`\`\n\n\`\`\`\n${code}\n\`\`\`\n`)).toEqual([7]);
  });

  it('is not what a terminal shows', () => {
    expect(unlabelledCode('```\nexport NODE_ENV=test\nnpm start\norders=2 letters=2\n```\n\nconst\n\n```ts\nconst a = 1;\n```\n')).toEqual(
      [],
    );
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
