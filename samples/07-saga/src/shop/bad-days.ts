import { Injectable } from '@nestjs/common';

/** Vans that ship orders, and a clerk at the bank: both have their bad days. */
@Injectable()
export class BadDays {
  /** No van takes anything. */
  isVanBroken = false;
  /** Money cannot be given back. */
  isBankClosed = false;
}
