// What the services know of each other: nothing but these messages.
export { ChargeCard } from './charge-card.js';
export { OrderPlaced } from './order-placed.js';
export { ReleaseStock } from './release-stock.js';
export { ReserveStock } from './reserve-stock.js';
