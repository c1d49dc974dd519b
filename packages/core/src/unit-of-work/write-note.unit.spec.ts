import { ScopeStorage } from './scope.js';

let nowMs = 0;

beforeEach(() => {
  nowMs = 5000;
  jest.spyOn(performance, 'now').mockImplementation(() => nowMs);
});
afterEach(() => void jest.restoreAllMocks());

/** What is seen now, and after each of these times. */
function seenAfter(scopes: ScopeStorage, ...times: readonly number[]): string[] {
  return [0, ...times].map((ms) => {
    nowMs += ms;
    return scopes.seenWrite();
  });
}

describe('a write outside any unit', () => {
  it('is seen for a second after its end', () => {
    const scopes = new ScopeStorage();
    const seen = scopes.root(() => {
      const note = scopes.noteWrite();
      note.begun();
      nowMs += 10_000;
      note.done();
      return seenAfter(scopes, 999, 1);
    });
    expect(seen).toEqual(['own', 'own', 'none']);
  });

  it('that is still under way is seen for a second after its beginning', () => {
    const scopes = new ScopeStorage();
    const seen = scopes.root(() => {
      scopes.noteWrite().begun();
      return seenAfter(scopes, 999, 1);
    });
    expect(seen).toEqual(['own', 'own', 'none']);
  });

  it('ends with the call that it was made in', async () => {
    const scopes = new ScopeStorage();
    const seen = await scopes.root(async () => {
      const inside = scopes.with('default', undefined, () => {
        scopes.noteWrite().begun();
        return scopes.seenWrite();
      });
      return [inside, scopes.seenWrite()];
    });
    expect(seen).toEqual(['own', 'none']);
  });

  it('is not seen in a root context that begins after it', () => {
    const scopes = new ScopeStorage();
    const seen = scopes.root(() => {
      scopes.noteWrite().begun();
      scopes.beginRoot();
      return scopes.seenWrite();
    });
    expect(seen).toBe('none');
  });
});
