import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What a customer has in the bank. */
@Entity()
export class Account {
  @PrimaryColumn() customer!: string;
  @Column('int') balance!: number;
}
