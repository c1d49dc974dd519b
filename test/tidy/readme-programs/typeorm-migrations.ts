import { holdfastMigrations } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

export const dataSource = new DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL,
  migrations: [...holdfastMigrations(), 'dist/migrations/*.js'],
});
