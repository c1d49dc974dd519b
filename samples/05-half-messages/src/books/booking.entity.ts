import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

@Entity()
export class Booking {
  @PrimaryGeneratedColumn() id!: number;
  /** Not unique, so that a second booking would show. */
  @Column('int') saleId!: number;
}
