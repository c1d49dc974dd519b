import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What a customer has booked. */
@Entity()
export class Trip {
  @PrimaryColumn() id!: string;
  @Column() night!: string;
  @Column() card!: string;
}

/** Rooms of one night: each is free, held for a trip, or sold. */
@Entity()
export class Night {
  @PrimaryColumn() date!: string;
  @Column('int') free!: number;
  @Column('int', { default: 0 }) held!: number;
  @Column('int', { default: 0 }) sold!: number;
}
