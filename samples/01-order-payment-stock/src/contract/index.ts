// What the services know of each other: nothing but these messages.
export { OrderPlaced } from './order-placed.js';
export { PaymentTaken } from './payment-taken.js';
