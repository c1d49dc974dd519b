import { hfError } from '../errors/catalogue.js';
import { silentLogger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { seededRandom } from '../time/random.js';
import { ScopeStorage } from './scope.js';
import { UnitEngine } from './unit-engine.js';

test.todo('smoke');
void [hfError, silentLogger, VirtualTime, seededRandom, ScopeStorage, UnitEngine];
