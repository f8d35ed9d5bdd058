/**
 * A boot sector that fills a machine's memory from its first MiB on, says so on the serial port,
 * and stays: for guests too small for a kernel. In 32-bit protected
 * mode, which reaches all of it; an x86 BIOS loads it to 0x7c00.
 */
export function bareFiller(memoryMiB: number, word: string): Buffer {
  const origin = 0x7c00;
  const firstByte = 0x10_0000;
  const words = (memoryMiB * 2 ** 20 - firstByte) / 4;
  const [protectedAt, tableAt, wordAt] = [origin + 0x17, origin + 0x80, origin + 0xa0];
  const sector = Buffer.alloc(512);
  const put = (at: number, bytes: readonly number[]): void => sector.set(bytes, at - origin);
  put(origin, [
    ...[0xfa, 0x31, 0xc0, 0x8e, 0xd8], // cli; xor ax,ax; mov ds,ax
    ...[0x0f, 0x01, 0x16, ...bytesOf(tableAt + 24, 2)], // lgdt
    ...[0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0], // mov eax,cr0; or al,1; mov cr0,eax
    ...[0xea, ...bytesOf(protectedAt, 2), 0x08, 0x00], // jmp 8:protected
  ]);
  put(protectedAt, [
    ...[0x66, 0xb8, 0x10, 0x00, 0x8e, 0xc0, 0x8e, 0xd8], // mov ax,16; mov es,ax; mov ds,ax
    ...[0xbf, ...bytesOf(firstByte, 4), 0xb9, ...bytesOf(words, 4)], // mov edi,firstByte; mov ecx,words
    ...[0xb8, ...bytesOf(1, 4), 0xfc, 0xf3, 0xab], // mov eax,1; cld; rep stosd
    ...[0xbe, ...bytesOf(wordAt, 4), 0x66, 0xba, 0xf8, 0x03], // mov esi,word; mov dx,0x3f8
    ...[0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8], // next: lodsb; test al,al; jz end; out dx,al; jmp next
    ...[0xf4, 0xeb, 0xfd], // end: hlt; jmp end
  ]);
  put(tableAt + 8, [0xff, 0xff, 0, 0, 0, 0x9a, 0xcf, 0]);
  put(tableAt + 16, [0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0]);
  put(tableAt + 24, [...bytesOf(23, 2), ...bytesOf(tableAt, 4)]);
  put(wordAt, [...Buffer.from(`${word}\n\0`, 'latin1')]);
  put(origin + 510, [0x55, 0xaa]);
  return sector;
}

function bytesOf(value: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => (value >>> (8 * index)) & 0xff);
}
