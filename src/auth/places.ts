/** A bounded number of places by key: connections of one address, sessions of one user. */
export interface Places {
  /** Takes a place; what is returned gives it back, once. undefined where all are taken. */
  take(key: string): (() => void) | undefined;
}

export function createPlaces(most: number): Places {
  const taken = new Map<string, number>();
  const giveBack = (key: string): void => {
    const left = (taken.get(key) ?? 0) - 1;
    if (left > 0) taken.set(key, left);
    else taken.delete(key);
  };
  return {
    take(key) {
      const count = taken.get(key) ?? 0;
      if (count >= most) return undefined;
      taken.set(key, count + 1);
      let isHeld = true;
      return () => {
        if (isHeld) giveBack(key);
        isHeld = false;
      };
    },
  };
}
