import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

@Entity()
export class Payment {
  @PrimaryGeneratedColumn() id!: number;
  @Column() orderId!: string;
  @Column('int') amount!: number;
}
