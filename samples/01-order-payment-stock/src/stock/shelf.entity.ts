import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What is for sale of an article. */
@Entity()
export class Shelf {
  @PrimaryColumn() article!: string;
  @Column('int') pieces!: number;
}
