import { Column, Entity, Index, PrimaryGeneratedColumn } from 'typeorm';

// No unique index on the order: nothing but the bus keeps an order from being reserved twice.
@Entity()
export class Reservation {
  @PrimaryGeneratedColumn() id!: number;
  @Column('uuid') @Index() orderId!: string;
}
