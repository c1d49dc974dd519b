import { holdfast } from './holdfast.js';
import { OPTIONS } from './options.js';

async function run(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const texts = { out: '', error: '' };
  const terminal = {
    cwd: __dirname,
    env: {},
    write: (text: string) => {
      texts.out += text;
    },
    writeError: (text: string) => {
      texts.error += text;
    },
    user: () => undefined,
  };
  return { code: await holdfast(args, terminal), ...texts };
}

describe('the help', () => {
  it('names every command, on the output when asked for and as an error when nothing is', async () => {
    const asked = await run('--help');
    expect([asked.code, asked.error]).toEqual([0, '']);
    const lines = asked.out.split('\n').filter((line) => line.startsWith('  '));
    expect(lines.map((line) => line.trim().split(/ {2,}/)[0])).toEqual([
      'migrate',
      'status',
      'sql',
      'subscriptions list',
      'subscriptions pause <name>',
      'subscriptions resume <name>',
      'subscriptions retire <name>',
      'dead-letters list',
      'dead-letters groups',
      'dead-letters show <id>',
      'dead-letters redrive [<id>]',
      'dead-letters discard [<id>]',
      'outbox show',
      'outbox parked',
      'outbox resume [<id>]',
      'outbox discard [<id>]',
      'sagas list',
      'sagas show <id>',
      'sagas resume <id>',
      'sagas retry <id>',
      'sagas skip <id>',
      'sagas cancel <id>',
      'sagas purge <id>',
      'branches list',
      'branches show <id>',
      'branches retry <id>',
      'branches skip <id>',
      'transport show',
      'transport switch',
      'transport add <name>',
      'transport discard <name>',
    ]);
    expect(await run()).toEqual({ code: 2, out: '', error: asked.out });
  });

  it('of a command names its options, also where its argument is left out', async () => {
    const { code, out } = await run('dead-letters', 'show', '-h');
    expect(code).toBe(0);
    expect(out).toMatch(/^Usage: holdfast dead-letters show <id> \[options\]\n/);
    expect([...out.matchAll(/ --([a-z-]+)/g)].map(([, name]) => name)).toEqual(['data-source', 'schema', 'service', 'json', 'help']);
    expect(out).toContain('-d, --data-source <file>');
    expect(out).toContain('(or HOLDFAST_DATA_SOURCE)');
  });

  it('has a text for every option', () => {
    expect(Object.values(OPTIONS).filter(({ says }) => says.length < 5)).toEqual([]);
  });

  it('tells the version', async () => {
    expect(await run('--version')).toEqual({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), error: '' });
  });
});

describe('a call that cannot be carried out', () => {
  it.each([
    [
      ['migrat'],
      'There is no command "migrat". Use one of: migrate, status, sql, subscriptions, dead-letters, outbox, sagas, branches, transport.',
    ],
    [['subscriptions'], 'holdfast subscriptions is no whole command. Use one of: list, pause, resume, retire.'],
    [['dead-letters', 'delete'], 'holdfast dead-letters has no verb "delete". Use one of: list, groups, show, redrive, discard.'],
    [['status', '--lanes', '3'], 'holdfast status takes no --lanes. It takes: --data-source, --schema, --help, --version.'],
    [
      ['sagas', 'list', '--status', 'lost'],
      '--status is "lost". Use one of: running, waiting, compensating, completed, compensated, parked.',
    ],
    [
      ['transport', 'add', 'a b'],
      'a b cannot be the name of a transport: it stands before the colon of a destination, and in the tables of the log. Use 1 to 40 of the signs a-z, A-Z, 0-9, _ and -, a letter first. (HF_TRANSPORT_NAME)',
    ],
    [['status', '--verbose'], "Unknown option '--verbose'. See holdfast --help."],
    [['status', '-d'], "Option '-d, --data-source <value>' argument missing. See holdfast --help."],
    [['status', 'now'], '"now" is one argument too many. Write holdfast status.'],
    [['subscriptions', 'retire'], 'holdfast subscriptions retire needs a name. Write holdfast subscriptions retire <name>.'],
    [['subscriptions', 'retire', 'a', 'b'], '"b" is one argument too many. Write holdfast subscriptions retire <name>.'],
    [['--schema', 'x'], 'holdfast without a command takes no --schema. It takes: --help, --version.'],
    [['subscriptions', 'pause', 'a'], 'It is not known who does this, and the audit table needs a name. Add --by <name>.'],
  ])('ends with 2 and says what to write: %j', async (args, message) => {
    expect(await run(...args)).toEqual({ code: 2, out: '', error: `holdfast: ${message}\n` });
  });
});
