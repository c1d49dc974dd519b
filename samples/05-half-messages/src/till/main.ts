// A till: makes the sales it is given as `id:amount`, one after another.
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { Till } from './till.js';
import { TillModule } from './till.module.js';

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(TillModule, { logger: ['fatal', 'error'] });
  for (const sale of process.argv.slice(2)) {
    const [id, amount] = sale.split(':').map(Number) as [number, number];
    await app
      .get(Till)
      .sell(id, amount)
      .catch((error: Error) => console.log(`   sale ${id} of ${amount} was refused: ${error.message}`));
  }
  await app.close();
}

void main();
