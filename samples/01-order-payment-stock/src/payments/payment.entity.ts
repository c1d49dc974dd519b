import { Column, CreateDateColumn, Entity, Index, PrimaryColumn } from 'typeorm';

// No unique index on the order: nothing but the bus keeps an order from being paid twice.
@Entity()
export class Payment {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid') @Index() orderId!: string;
  @Column('int') amount!: number;
  @CreateDateColumn({ type: 'timestamptz' }) takenAt!: Date;
}
