import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity()
export class Charge {
  /** As the gateway gave it. */
  @PrimaryColumn() id!: string;
  @Column() orderId!: string;
  @Column('int') amount!: number;
}
