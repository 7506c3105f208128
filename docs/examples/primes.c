/* A CPU program like many: counts primes, and prints how many there are below every step.
 * primes STEP [STEPS]; without STEPS: on and on. gcc -O2 -static -o primes primes.c */
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words) {
    const int step = atoi(words[1]), steps = count > 2 ? atoi(words[2]) : 0;
    int primes = 0, number = 2;
    for (int done = 0; steps == 0 || done < steps; done++) {
        for (const int end = number + step; number < end; number++) {
            int factor = 2;
            while (factor * factor <= number && number % factor)
                factor++;
            primes += factor * factor > number;
        }
        printf("%d primes below %d\n", primes, number);
        if (steps == 0 && number > 200000)
            number = 2, primes = 0;
    }
    return 0;
}
