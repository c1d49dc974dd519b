import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

@Entity()
export class Charge {
  @PrimaryGeneratedColumn() id!: number;
  @Column() orderId!: string;
  @Column('int') amount!: number;
}
