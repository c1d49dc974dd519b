import { Column, CreateDateColumn, Entity, Index, PrimaryGeneratedColumn } from 'typeorm';

// No unique index on the order: nothing but the bus keeps an order from being shipped twice.
@Entity()
export class Parcel {
  @PrimaryGeneratedColumn() id!: number;
  @Column('uuid') @Index() orderId!: string;
  @Column('uuid') paymentId!: string;
  @Column() address!: string;
  @CreateDateColumn({ type: 'timestamptz' }) shippedAt!: Date;
}
