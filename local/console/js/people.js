// The people of the console. They are in the starting data, except for the guest, who has an address and no account.
export const PEOPLE = {
  tara: {
    key: 'tara',
    name: 'Tara',
    role: 'Trainer',
    about: 'Teaches Algebra I',
    claims: { sub: 'trainer-1', role: 'trainer', email: 'trainer@example.test', name: 'Tara Trainer' },
  },
  sam: {
    key: 'sam',
    name: 'Sam',
    role: 'Student',
    about: 'Enrolled in Algebra I',
    claims: { sub: 'student-1', role: 'student', email: 'student1@example.test', name: 'Sam Student' },
  },
  gil: {
    key: 'gil',
    name: 'Gil',
    role: 'Guest',
    about: 'Invited by e-mail, without an account',
    email: 'guest@example.test',
    fullName: 'Gil Guest',
  },
};

// The platform's back end and its operations team. They act with tokens of their own, and have no class to join.
export const PLATFORM = {
  key: 'platform',
  name: 'Platform',
  role: 'Back end',
  about: 'Bookings, payments and imports',
  claims: { sub: 'platform', role: 'service', name: 'The platform' },
};
export const OPERATIONS = {
  key: 'operations',
  name: 'Operations',
  claims: { sub: 'operations', role: 'admin', name: 'Operations' },
};

/** Everybody with pages of their own, by key. */
export const PERSONAS = { ...PEOPLE, platform: PLATFORM };
