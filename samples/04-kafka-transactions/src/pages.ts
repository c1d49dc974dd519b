import { Message } from '@holdfast/nest';

@Message('page.viewed')
export class PageViewed {
  constructor(readonly url: string) {}
}

@Message('page.counted')
export class PageCounted {
  constructor(
    readonly host: string,
    readonly url: string,
  ) {}
}
