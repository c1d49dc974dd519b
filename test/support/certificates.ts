import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate and its key, as files and as PEM. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** An authority that signs certificates for as long as a test runs. */
export class Authority {
  private constructor(
    private readonly directory: string,
    readonly certFile: string,
  ) {}

  /** Whether this machine can make one. */
  static get isPossible(): boolean {
    return spawnSync('openssl', ['version']).status === 0;
  }

  static make(): Authority {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-certificates-'));
    const authority = new Authority(directory, join(directory, 'authority.pem'));
    authority.openssl(
      'req',
      '-x509',
      '-subj',
      '/CN=an authority',
      ...authority.keyed('authority'),
      '-out',
      authority.certFile,
      '-days',
      '2',
    );
    return authority;
  }

  /** PEM of its own certificate. */
  get cert(): string {
    return readFileSync(this.certFile, 'utf8');
  }

  /** Signs one for a name, or for an address. */
  certificateFor(name: string): Certificate {
    const [request, extensions, certFile] = ['csr', 'ext', 'pem'].map((ending) => join(this.directory, `${name}.${ending}`)) as [
      string,
      string,
      string,
    ];
    writeFileSync(extensions, `subjectAltName = ${isIP(name) === 0 ? 'DNS' : 'IP'}:${name}\n`);
    this.openssl('req', '-new', '-subj', `/CN=${name}`, ...this.keyed(name), '-out', request);
    const signing = ['-CA', this.certFile, '-CAkey', join(this.directory, 'authority.key'), '-CAcreateserial', '-days', '2'];
    this.openssl('x509', '-req', '-in', request, ...signing, '-extfile', extensions, '-out', certFile);
    const keyFile = join(this.directory, `${name}.key`);
    return { certFile, keyFile, cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  private keyed(name: string): readonly string[] {
    return ['-newkey', 'rsa:2048', '-nodes', '-keyout', join(this.directory, `${name}.key`)];
  }

  private openssl(...args: readonly string[]): void {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  }
}
