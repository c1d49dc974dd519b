import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('shop_order')
export class Order {
  @PrimaryColumn() id!: string;
  @Column('int') amount!: number;
}
