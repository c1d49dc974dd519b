import { Column, CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';

@Entity()
export class Order {
  @PrimaryColumn('uuid') id!: string;
  @Column() customer!: string;
  @Column('int') amount!: number;
  @CreateDateColumn({ type: 'timestamptz' }) placedAt!: Date;
}
