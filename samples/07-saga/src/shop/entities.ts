import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What a customer wants. */
@Entity()
export class Order {
  @PrimaryColumn() id!: string;
  @Column() customer!: string;
  @Column('int') total!: number;
  @Column() status!: 'new' | 'shipped' | 'cancelled' | 'returned';
}

/** What is left on a shelf. */
@Entity()
export class Shelf {
  @PrimaryColumn() article!: string;
  @Column('int') pieces!: number;
}

/** Money of a customer, or of the shop. */
@Entity()
export class Account {
  @PrimaryColumn() owner!: string;
  @Column('int') balance!: number;
}
