import { armFailpoint, armFromEnvironment, disarmFailpoints, FAILPOINTS, FailpointError, failpoint } from './failpoints.js';

afterEach(() => {
  disarmFailpoints();
});

describe('failpoint', () => {
  it.each(FAILPOINTS)('%s does nothing unless it is armed', (name) => {
    expect(() => failpoint(name)).not.toThrow();
  });

  it('strikes once where it was armed, and nowhere else', () => {
    armFailpoint('handler:after', 'throw');
    expect(() => failpoint('unit:before-commit')).not.toThrow();
    expect(() => failpoint('handler:after')).toThrow(FailpointError);
    expect(() => failpoint('handler:after')).not.toThrow();
  });

  it('strikes at the hit it was told', () => {
    armFailpoint('handler:after', 'throw', { atHit: 3 });
    failpoint('handler:after');
    failpoint('handler:after');
    expect(() => failpoint('handler:after')).toThrow('failpoint handler:after');
  });

  it('does nothing after it was disarmed', () => {
    const disarm = armFailpoint('handler:after', 'throw');
    disarm();
    expect(() => failpoint('handler:after')).not.toThrow();
  });

  it('calls a function', () => {
    let calls = 0;
    armFailpoint('trim:after-delete', () => {
      calls += 1;
    });
    failpoint('trim:after-delete');
    expect(calls).toBe(1);
  });

  it('freezes the whole process, timers and all', () => {
    const startMs = performance.now();
    armFailpoint('relay:after-read', { freezeMs: 30 });
    failpoint('relay:after-read');
    expect(performance.now() - startMs).toBeGreaterThan(28);
  });

  it.each([
    ['kill', 'SIGKILL'],
    ['stop', 'SIGSTOP'],
  ] as const)('%ss the process with %s', (action, signal) => {
    const kill = jest.spyOn(process, 'kill').mockReturnValue(true);
    armFailpoint('unit:after-commit', action);
    failpoint('unit:after-commit');
    expect(kill).toHaveBeenCalledWith(process.pid, signal);
    kill.mockRestore();
  });
});

describe('armFromEnvironment', () => {
  it('arms several failpoints', () => {
    armFromEnvironment('handler:after=throw@2, unit:before-commit=throw');
    expect(() => failpoint('unit:before-commit')).toThrow(FailpointError);
    failpoint('handler:after');
    expect(() => failpoint('handler:after')).toThrow(FailpointError);
  });

  it('understands how long to freeze', () => {
    const startMs = performance.now();
    armFromEnvironment('relay:after-read=freeze:30');
    failpoint('relay:after-read');
    expect(performance.now() - startMs).toBeGreaterThan(28);
  });

  it.each([undefined, '', ' ', ','])('arms nothing for %p', (spec) => {
    armFromEnvironment(spec);
    for (const name of FAILPOINTS) expect(() => failpoint(name)).not.toThrow();
  });

  it.each([
    'handler:afetr=kill',
    'handler:after',
    'handler:after=explode',
    'handler:after=kill@0',
    'handler:after=freeze',
    '__proto__=kill',
  ])('refuses %p and arms nothing', (part) => {
    expect(() => armFromEnvironment(`unit:before-commit=throw,${part}`)).toThrow(`HOLDFAST_FAILPOINT: ${part} is not understood`);
    expect(() => failpoint('unit:before-commit')).not.toThrow();
  });

  it('is read from HOLDFAST_FAILPOINT when the file is loaded', async () => {
    process.env.HOLDFAST_FAILPOINT = 'handler:after=throw';
    try {
      await jest.isolateModulesAsync(async () => {
        const copy = await import('./failpoints.js');
        expect(() => copy.failpoint('handler:after')).toThrow('failpoint handler:after');
      });
    } finally {
      delete process.env.HOLDFAST_FAILPOINT;
    }
  });
});

describe('FAILPOINTS', () => {
  it('names each once', () => {
    expect(new Set(FAILPOINTS).size).toBe(FAILPOINTS.length);
  });
});
