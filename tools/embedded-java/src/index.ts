export { type Artifacts, findArtifacts, missingTools } from './artifacts.js';
export { JavaServer } from './java-server.js';
export { Watchdog } from './watchdog.js';
