export { type Artifacts, findArtifacts, missingTools } from './artifacts.js';
export { keepArchive, recordingFlags, sharingFlags } from './class-archive.js';
export { type JavaPlace, JavaServer } from './java-server.js';
export { classPathOf, type JavaSetup } from './java-setup.js';
export { findPrepared, type Preparation } from './prepared.js';
export { Watchdog } from './watchdog.js';
