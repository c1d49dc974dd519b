export { type Artifacts, findArtifacts, missingTools } from './artifacts.js';
export { type JavaPlace, JavaServer } from './java-server.js';
export { Watchdog } from './watchdog.js';
