/*
 * Where a processor starts: in real mode, at the beginning of a page below 1 MiB. It goes on to
 * protected mode, to long mode with the state of the boot processor, and into the image.
 *
 * All of it is a template: it is copied into the page, its parameters are filled in, and only
 * then the page is mapped, executable and read-only. CR3 takes 32 bits in protected mode: a copy
 * of the root that lies below 4 GiB leads into long mode, where the real one is loaded. CR4 comes
 * before paging, since CR4.LA57 cannot be changed later, and with it the form of the root.
 */
    .intel_syntax noprefix
    .section .rdata, "dr"

    /* Where struct trampoline_parameters begins, behind the code, and its fields. */
    .set AT_GDTR, 192
    .set AT_TO_PROTECTED, AT_GDTR + 8
    .set AT_TO_LONG, AT_GDTR + 16
    .set AT_CR0_PROTECTED, AT_GDTR + 24
    .set AT_CR0_LONG, AT_GDTR + 28
    .set AT_CR4, AT_GDTR + 32
    .set AT_LOW_ROOT, AT_GDTR + 40
    .set AT_EFER, AT_GDTR + 48
    .set AT_PAT, AT_GDTR + 56
    .set AT_ROOT, AT_GDTR + 64
    .set AT_ENTRY, AT_GDTR + 72

    .globl trampoline
    .p2align 4
trampoline:
    .code16
    cli
    cld
    mov ax, cs
    mov ds, ax
    movzx ebx, ax
    shl ebx, 4
    lgdt [AT_GDTR] /* takes 24 bits of the address here: enough */
    mov eax, [AT_CR0_PROTECTED]
    mov cr0, eax
    .byte 0x66, 0xff, 0x2e /* jmp fword ptr [AT_TO_PROTECTED], at which the assembler fails */
    .word AT_TO_PROTECTED

    .globl trampoline_protected
trampoline_protected:
    .code32
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, [ebx + AT_CR4]
    mov cr4, eax
    mov eax, [ebx + AT_LOW_ROOT]
    mov cr3, eax
    mov ecx, 0xc0000080
    mov eax, [ebx + AT_EFER]
    mov edx, [ebx + AT_EFER + 4]
    wrmsr
    mov ecx, 0x277
    mov eax, [ebx + AT_PAT]
    mov edx, [ebx + AT_PAT + 4]
    wrmsr
    mov eax, [ebx + AT_CR0_LONG]
    mov cr0, eax
    jmp fword ptr [ebx + AT_TO_LONG]

    .globl trampoline_long
trampoline_long:
    .code64
    mov ebx, ebx
    mov rax, [rbx + AT_CR4]
    mov cr4, rax
    mov rax, [rbx + AT_ROOT]
    mov cr3, rax
    jmp [rbx + AT_ENTRY]

    .org 192

/*
 * In the image: takes the processor that is waited for, so that nobody who comes late runs on
 * the stack of another one.
 */
    .text
    .globl processor_entry
    .p2align 4
processor_entry:
    xor ecx, ecx
    xchg rcx, [rip + processor_starting]
    test rcx, rcx
    jz 1f
    mov rsp, [rcx + 8]
    sub rsp, 32
    xor ebp, ebp
    call processor_main
1:
    cli
    hlt
    jmp 1b
