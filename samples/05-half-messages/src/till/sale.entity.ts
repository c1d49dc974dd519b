import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity()
export class Sale {
  @PrimaryColumn('int') id!: number;
  @Column('int') amount!: number;
}
