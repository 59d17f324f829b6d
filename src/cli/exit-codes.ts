/** What a command ends with: 0 it did what was asked, 1 it failed or found a difference, 2 it was asked wrongly. */
export const exitOk = 0;
export const exitFailed = 1;
export const exitUsage = 2;
